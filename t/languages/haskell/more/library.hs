{-# LANGUAGE LambdaCase, ScopedTypeVariables #-}
module Main (main) where

import Control.Exception
import Control.Monad.State
import Data.Bits (xor)
import Data.IORef
import Data.List (sortOn)
import qualified Data.ByteString.Char8 as B
import qualified Data.Map.Strict as M
import qualified Data.Set as S
import qualified Data.Text as T
import qualified Data.Text.IO as T
import Data.Time (addDays, fromGregorian)
import System.Directory (getCurrentDirectory)
import Text.Printf (printf)
import Text.Read (readMaybe)

data Shape = Circle Double | Square Double deriving (Show, Eq, Ord)

area :: Shape -> Double
area = \case
  Circle r -> pi * r * r
  Square s -> s * s

counter :: State Int Int
counter = modify (+ 1) >> gets (* 2)

main :: IO ()
main = do
  print (M.toList (M.fromListWith (+) [(w, 1 :: Int) | w <- words "a b a c b a"]))
  printf "%.2f %s\n" (area (Circle 1)) (show (sortOn area [Square 2, Circle 0.5]))
  print (evalState counter 20, S.member 'x' (S.fromList "xyz"), 5 `xor` (3 :: Int))
  writeFile "note.txt" "kept"
  readFile "note.txt" >>= putStrLn
  getCurrentDirectory >>= putStrLn
  T.putStrLn (T.toUpper (T.pack "grüß"))
  print (B.length (B.pack "bytes"), addDays 2 (fromGregorian 2024 2 28))
  print (2 ^ (100 :: Int) :: Integer, readMaybe "12x" :: Maybe Int)
  ref <- newIORef (0 :: Int)
  mapM_ (\n -> modifyIORef' ref (+ n)) [1 .. 100]
  readIORef ref >>= print
  result <- try (evaluate (1 `div` (0 :: Int)))
  case result of
    Left (e :: ArithException) -> putStrLn ("caught " ++ show e)
    Right n -> print n
