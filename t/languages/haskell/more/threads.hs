import Control.Concurrent
import Control.Concurrent.STM
import Control.Monad
import System.Timeout (timeout)

main :: IO ()
main = do
  total <- newTVarIO (0 :: Int)
  done <- newEmptyMVar
  forM_ [1 .. 100] $ \n -> forkIO $ do
    threadDelay 1000
    atomically (modifyTVar' total (+ n))
    putMVar done ()
  replicateM_ 100 (takeMVar done)
  readTVarIO total >>= print
  timeout 10000 (threadDelay 10000000) >>= print
