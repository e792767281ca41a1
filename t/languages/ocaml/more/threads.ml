let sum = ref 0
let lock = Mutex.create ()

let add n =
  for _ = 1 to 1000 do
    Mutex.lock lock;
    sum := !sum + n;
    Mutex.unlock lock
  done

let () =
  List.iter Thread.join (List.init 16 (fun i -> Thread.create add (i + 1)));
  Printf.printf "%d\n" !sum;
  let channel = Event.new_channel () in
  ignore (Thread.create (fun () -> Event.sync (Event.send channel 42)) ());
  Printf.printf "%d\n" (Event.sync (Event.receive channel))
