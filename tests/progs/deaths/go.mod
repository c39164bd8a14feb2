module gospect.test/deaths

go 1.18
