module gospect.test/netload

go 1.18
