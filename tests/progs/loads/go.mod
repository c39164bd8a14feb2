module gospect.test/loads

go 1.18
