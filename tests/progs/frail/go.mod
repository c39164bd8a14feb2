module gospect.test/frail

go 1.18
