module gospect.test/recorded

go 1.18
