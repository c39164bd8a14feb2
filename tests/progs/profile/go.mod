module gospect.test/profile

go 1.18
