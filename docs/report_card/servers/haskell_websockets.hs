-- websockets (Haskell): an echo server with its defaults.
module Main where

import Control.Monad (forever)
import Network.WebSockets
import System.Environment (getArgs)

main :: IO ()
main = do
  port : _ <- getArgs
  runServer "127.0.0.1" (read port) $ \pending -> do
    connection <- acceptRequest pending
    forever $ receiveDataMessage connection >>= sendDataMessage connection
