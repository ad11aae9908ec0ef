package parcels;

import java.util.List;

/**
 * A thing to send.
 *
 * @author Somebody
 */
@Entity(name = "parcel")
public abstract class Sample<T extends Comparable<T>> extends Base implements Sender, AutoCloseable {
    private static final int LIMIT = 20;

    static { System.loadLibrary("parcels"); }

    /** Makes one. */
    public Sample(T weight) throws IllegalArgumentException { this.weight = weight; }

    Sample() { this(null); }

    // Not Javadoc, but above.
    @Override
    @SuppressWarnings({"unchecked", "raw"})
    public <U> List<U> send(@Nullable List<? extends U> parcels) {
        Runnable task = new Runnable() {
            @Override public void run() { send(null); }
        };
        return null;
    }

    public List<T> send() { return null; }

    protected abstract void close();

    native int weigh();

    interface Visitor<R> { R visit(Sample<?> sample); default void done() {} }

    enum Size {
        SMALL { @Override int limit() { return 1; } },
        LARGE;

        int limit() { return LIMIT; }
    }

    record Point(int x, int y) {
        Point { if (x < 0) throw new IllegalArgumentException(); }
        static Point origin() { return new Point(0, 0); }
    }

    @interface Marker { String value() default ""; }
}
