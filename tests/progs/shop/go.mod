module gospect.test/shop

go 1.19
