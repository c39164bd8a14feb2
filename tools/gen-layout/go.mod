module gospect/tools/gen-layout

go 1.21
