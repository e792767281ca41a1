module Counts = Map.Make (String)

type shape = Circle of float | Square of { side : float }

let area = function
  | Circle radius -> Float.pi *. radius *. radius
  | Square { side } -> side *. side

let count words =
  List.fold_left
    (fun counts word -> Counts.update word (fun n -> Some (1 + Option.value n ~default:0)) counts)
    Counts.empty words

let () =
  Counts.iter (Printf.printf "%s=%d ") (count (String.split_on_char ' ' "a b a c b a"));
  print_newline ();
  List.iter (fun shape -> Printf.printf "%.2f\n" (area shape)) [ Circle 1.0; Square { side = 1.5 } ];
  print_endline (Str.global_replace (Str.regexp "\\([0-9]+\\)-\\([0-9]+\\)") "\\2.\\1" "1-2");
  let note = open_out "note.txt" in
  output_string note "kept\n";
  close_out note;
  let note = open_in "note.txt" in
  Printf.printf "%s %s\n" (input_line note) (Sys.getcwd ());
  let day = Unix.gmtime 86400.0 in
  Printf.printf "%d-%02d-%02d\n" (1900 + day.Unix.tm_year) (1 + day.Unix.tm_mon) day.Unix.tm_mday;
  Printf.printf "%s\n" (Digest.to_hex (Digest.string "x"));
  (try ignore (List.hd []) with Failure _ -> print_endline "caught");
  let table = Hashtbl.create 16 in
  Seq.iter (fun n -> Hashtbl.replace table n (n * n)) (List.to_seq [ 1; 2; 3 ]);
  Printf.printf "%d grüß %d\n" (Hashtbl.find table 3) (String.length "grüß")
