let rec grow all = grow (Bytes.make (1 lsl 20) 'x' :: all)
let () = print_int (List.length (grow []))
