module gospect.test/appends

go 1.18
