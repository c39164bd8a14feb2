module gospect.test/words

go 1.18
