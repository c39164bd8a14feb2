module gospect.test/ownclient

go 1.18
