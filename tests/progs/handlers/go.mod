module gospect.test/handlers

go 1.18
