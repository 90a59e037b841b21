module gojudge

go 1.27
