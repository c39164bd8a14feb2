module gospect.test/cpu

go 1.18
