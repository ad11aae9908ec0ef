using System;

namespace Post.Office
{
    /// <summary>
    /// A thing to send.
    /// </summary>
    [Serializable]
    public abstract partial class Parcel<T> : Base, ISender where T : struct
    {
        private const int Limit = 20;

        /// <summary>Makes one.</summary>
        public Parcel(T weight) : base(weight) { }

        public int Auto { get; set; } = 1;
        public bool Heavy => Weight > 10;
        public T Weight { get { return weight; } private set { weight = value; } }
        public T this[int index] => weight;

        [Obsolete("use SendAsync"), Pure]
        public async Task<int> Send<U>(U parcel, params int[] rest) where U : class
        {
            int Local(int x) => x + 1;
            return await Task.Run(() => Local(1));
        }

        public int Send() => 0;
        protected abstract void Close();
        void IDisposable.Dispose() { }
        ~Parcel() { }
        public static Parcel<T> operator +(Parcel<T> a, Parcel<T> b) => a;
        public static implicit operator int(Parcel<T> parcel) => 1;
        public delegate void Handler(object sender);

        public event EventHandler Sent;

        private enum Size { Small, Large }
    }

    public interface ISender { int Send(); }
    public record Point(int X, int Y);
    public readonly record struct Pair(int A) { public int Sum() => A; }
    public struct Meters { public double Value; }
}
