module gospect.test/recovers

go 1.18
