/* Copyright 2024 Somebody */
package org.post
package office

import scala.collection.mutable
import cats.syntax.all.*

/** A thing to send.
  *
  * More.
  */
@deprecated("old", "1.0")
final case class Parcel[A](weight: Double, to: A) extends Sendable[A] with Serializable {
  def this(weight: Double) = this(weight, null)

  /** Whether it is heavy. */
  def heavy: Boolean = weight > Parcel.Limit

  override def toString: String = {
    def inner(x: Int) = x + 1
    s"$weight"
  }

  def +(other: Parcel[A]): Parcel[A] = copy(weight + other.weight)
  def unary_- : Parcel[A] = this
  def apply(x: Int)(using ctx: Context): Int = x
  private[this] lazy val label = "x"
}

object Parcel {
  val Limit = 3
  type Route = List[Parcel[?]]

  // Makes one.
  implicit def ordering[A]: Ordering[Parcel[A]] = Ordering.by(_.weight)
  val handler: Int => Int = x => x + 1
  val partial: PartialFunction[Int, Int] = { case 1 => 2 }
  implicit val anon: Show[Int] = new Show[Int] {
    def show(x: Int): String = x.toString
  }
}

/** Things that can be sent. */
sealed trait Sendable[A] {
  def send(what: A): Unit
  def both[B >: A](x: B): B = x
}

enum Size(val limit: Int):
  case Small extends Size(1)
  case Large extends Size(9)
  def label: String = toString

/** Extends. */
extension (parcel: Parcel[?])
  def describe: String = parcel.toString
  def twice: Double = parcel.weight * 2

given Ordering[Size] with
  def compare(a: Size, b: Size) = a.limit - b.limit

given named: Show[Size] = Show.fromToString

opaque type Meters = Double

package object util {
  def helper(x: Int) = x
}

@main def run(args: String*): Unit =
  println("x")

def overloaded(x: Int): Int = x
def overloaded(x: String): Int = 1

inline def macroed(inline x: Int): Int = ${ impl('x) }

abstract class Base(x: Int):
  protected def hook(): Unit
end Base
