module gospect.test/inlib

go 1.18
