module gospect.test/statements

go 1.18
