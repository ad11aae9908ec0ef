{-# LANGUAGE GADTs #-}
{-# LANGUAGE TypeFamilies #-}
-- |
-- Module: Sample
-- Sends parcels.
module Sample
  ( Parcel (..)
  , send
  ) where

import Data.List (sortBy)
import qualified Data.Map as M

-- | A thing to send.
data Parcel = Parcel
  { weight :: Double -- ^ in kilos
  , to :: String
  }
  deriving (Show, Eq)

newtype Meters = Meters Double deriving newtype (Num)

{- | A way
   to send. -}
type Route = [Parcel]

data Shape a where
  Round :: a -> Shape a
  Square :: a -> a -> Shape a

-- | Things that can be sent.
class Sendable a where
  -- | Sends it.
  post :: a -> IO ()
  post _ = pure ()
  cost, price :: a -> Int
  type Carrier a
  {-# MINIMAL cost #-}

instance Sendable Parcel where
  post p = do
    print (to p)
  cost = const 3
  cost' x | x > 3 = 1
          | otherwise = 2

instance Show (Shape a) where
  show (Round _) = "round"
  show (Square _ _) = "square"

deriving instance Eq a => Eq (Shape a)

-- | Sends many.
--
-- In order.
send :: [Parcel] -> IO Int
send [] = pure 0
-- the rest
send (p : ps)
  | heavy p = send ps
  | otherwise = do
      n <- send ps
      pure (n + one)
  where
    one = 1
    twice :: Int -> Int
    twice x = x * 2

heavy :: Parcel -> Bool
heavy p = weight p > 3
{-# INLINE heavy #-}

-- | Next to.
(<+>) :: Int -> Int -> Int
a <+> b = a + b
infixl 6 <+>

x `isNear` y = abs (x - y) < 1

limit :: Int
limit = 3

noSignature = map (\x -> x + 1)

first, second :: Int
first = 1
second = 2

(one, two) = (1, 2)

type family Elem c
type instance Elem [e] = e

foreign import ccall "math.h sin" c_sin :: Double -> Double

pattern Pair :: a -> b -> (a, b)
pattern Pair x y = (x, y)

main :: IO ()
main = do
  let go 0 = 1
      go n = n * go (n - 1)
  print (go 3)
