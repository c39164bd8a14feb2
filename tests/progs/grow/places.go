// SPDX-License-Identifier: BSD-2-Clause

package main

// 100 times 100 pairs.

var starts = []func(func()){
	start[[1]byte], start[[2]byte], start[[3]byte], start[[4]byte], start[[5]byte], start[[6]byte],
	start[[7]byte], start[[8]byte], start[[9]byte], start[[10]byte], start[[11]byte], start[[12]byte],
	start[[13]byte], start[[14]byte], start[[15]byte], start[[16]byte], start[[17]byte], start[[18]byte],
	start[[19]byte], start[[20]byte], start[[21]byte], start[[22]byte], start[[23]byte], start[[24]byte],
	start[[25]byte], start[[26]byte], start[[27]byte], start[[28]byte], start[[29]byte], start[[30]byte],
	start[[31]byte], start[[32]byte], start[[33]byte], start[[34]byte], start[[35]byte], start[[36]byte],
	start[[37]byte], start[[38]byte], start[[39]byte], start[[40]byte], start[[41]byte], start[[42]byte],
	start[[43]byte], start[[44]byte], start[[45]byte], start[[46]byte], start[[47]byte], start[[48]byte],
	start[[49]byte], start[[50]byte], start[[51]byte], start[[52]byte], start[[53]byte], start[[54]byte],
	start[[55]byte], start[[56]byte], start[[57]byte], start[[58]byte], start[[59]byte], start[[60]byte],
	start[[61]byte], start[[62]byte], start[[63]byte], start[[64]byte], start[[65]byte], start[[66]byte],
	start[[67]byte], start[[68]byte], start[[69]byte], start[[70]byte], start[[71]byte], start[[72]byte],
	start[[73]byte], start[[74]byte], start[[75]byte], start[[76]byte], start[[77]byte], start[[78]byte],
	start[[79]byte], start[[80]byte], start[[81]byte], start[[82]byte], start[[83]byte], start[[84]byte],
	start[[85]byte], start[[86]byte], start[[87]byte], start[[88]byte], start[[89]byte], start[[90]byte],
	start[[91]byte], start[[92]byte], start[[93]byte], start[[94]byte], start[[95]byte], start[[96]byte],
	start[[97]byte], start[[98]byte], start[[99]byte], start[[100]byte],
}

var works = []func(){
	work[[1]byte], work[[2]byte], work[[3]byte], work[[4]byte], work[[5]byte], work[[6]byte],
	work[[7]byte], work[[8]byte], work[[9]byte], work[[10]byte], work[[11]byte], work[[12]byte],
	work[[13]byte], work[[14]byte], work[[15]byte], work[[16]byte], work[[17]byte], work[[18]byte],
	work[[19]byte], work[[20]byte], work[[21]byte], work[[22]byte], work[[23]byte], work[[24]byte],
	work[[25]byte], work[[26]byte], work[[27]byte], work[[28]byte], work[[29]byte], work[[30]byte],
	work[[31]byte], work[[32]byte], work[[33]byte], work[[34]byte], work[[35]byte], work[[36]byte],
	work[[37]byte], work[[38]byte], work[[39]byte], work[[40]byte], work[[41]byte], work[[42]byte],
	work[[43]byte], work[[44]byte], work[[45]byte], work[[46]byte], work[[47]byte], work[[48]byte],
	work[[49]byte], work[[50]byte], work[[51]byte], work[[52]byte], work[[53]byte], work[[54]byte],
	work[[55]byte], work[[56]byte], work[[57]byte], work[[58]byte], work[[59]byte], work[[60]byte],
	work[[61]byte], work[[62]byte], work[[63]byte], work[[64]byte], work[[65]byte], work[[66]byte],
	work[[67]byte], work[[68]byte], work[[69]byte], work[[70]byte], work[[71]byte], work[[72]byte],
	work[[73]byte], work[[74]byte], work[[75]byte], work[[76]byte], work[[77]byte], work[[78]byte],
	work[[79]byte], work[[80]byte], work[[81]byte], work[[82]byte], work[[83]byte], work[[84]byte],
	work[[85]byte], work[[86]byte], work[[87]byte], work[[88]byte], work[[89]byte], work[[90]byte],
	work[[91]byte], work[[92]byte], work[[93]byte], work[[94]byte], work[[95]byte], work[[96]byte],
	work[[97]byte], work[[98]byte], work[[99]byte], work[[100]byte],
}
