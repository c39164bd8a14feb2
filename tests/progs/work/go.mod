module gospect.test/work

go 1.18
