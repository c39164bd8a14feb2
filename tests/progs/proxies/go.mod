module gospect.test/proxies

go 1.18
