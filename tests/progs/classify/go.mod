module gospect.test/classify

go 1.18
