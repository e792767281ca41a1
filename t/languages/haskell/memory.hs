grow :: [Integer] -> Integer -> IO ()
grow all n
  | n < 0 = print (sum all)
  | otherwise = n `seq` grow (n : all) (n + 1)

main :: IO ()
main = grow [] 0
