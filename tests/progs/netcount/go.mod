module gospect.test/netcount

go 1.18
