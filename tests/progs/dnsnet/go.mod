module gospect.test/dnsnet

go 1.18
