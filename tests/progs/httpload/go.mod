module gospect.test/httpload

go 1.19
