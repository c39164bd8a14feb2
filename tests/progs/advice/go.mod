module gospect.test/advice

go 1.18
