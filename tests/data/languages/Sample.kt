/* Copyright 2024 Somebody */
@file:JvmName("Parcels")

package org.post.office

import java.io.Closeable
import kotlin.math.*

const val LIMIT = 3

/** A thing to send. */
@Serializable
data class Parcel(val weight: Double, val to: String = "nobody") : Closeable {
    constructor(weight: Int) : this(weight.toDouble())

    init {
        require(weight > 0)
    }

    /** Whether it is heavy. */
    val heavy: Boolean
        get() = weight > LIMIT

    var label: String = ""
        set(value) {
            field = value.trim()
        }

    val plain = 1

    @Throws(IOException::class)
    override fun close() {
        fun local(x: Int) = x + 1
        local(1)
    }

    operator fun plus(other: Parcel) = Parcel(weight + other.weight)

    infix fun near(other: Parcel): Boolean = true

    inner class Label {
        fun print() {}
    }

    companion object {
        /** Makes one. */
        @JvmStatic
        fun of(weight: Double) = Parcel(weight)
    }

    companion object Factory : Maker {
        override fun make() = Parcel(1.0)
    }
}

/**
 * Sends.
 *
 * @param T what
 */
interface Sender<T> {
    fun send(what: T)
    val name: String get() = "sender"
}

fun interface Handler {
    fun handle(parcel: Parcel): Int
}

sealed class Result<out T> {
    class Ok<T>(val value: T) : Result<T>()
    data object Missing : Result<Nothing>()
}

enum class Size(val limit: Int) {
    SMALL(1) {
        override fun label() = "s"
    },
    LARGE(9);

    open fun label(): String = name
}

object Registry {
    private val all = mutableListOf<Parcel>()
    fun add(parcel: Parcel) = all.add(parcel)
}

annotation class Marker(val value: String)

@JvmInline
value class Meters(val value: Double)

typealias Route = List<Parcel>

// An extension.
fun Parcel.describe(): String = "$to: $weight"

fun <T : Comparable<T>> List<T>?.largest(): T? where T : Any {
    return this?.maxOrNull()
}

val Parcel.doubled: Double
    get() = weight * 2

/* Suspends. */
@Deprecated("old")
suspend inline fun <reified T> fetch(
    url: String, // where
    block: (T) -> Unit,
): T = TODO()

val square = { x: Int -> x * x }

val shout = fun(x: String): String { return x.uppercase() }

fun String.`with spaces`() = 1

fun anonymous() = object : Handler {
    override fun handle(parcel: Parcel): Int = 1
}
