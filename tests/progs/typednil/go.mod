module gospect.test/typednil

go 1.18
