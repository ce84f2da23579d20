[inputs: ["{mix,.formatter}.exs", "{lib,reference,semantics,test,bench}/**/*.{ex,exs}"], line_length: 110]
