// Parcels in C++.

#include <string>

namespace post::office {

/// A thing to send.
template <typename T, int N = 3>
class Parcel final : public Base<T> {
 public:
  using value_type = T;

  explicit Parcel(T weight) : weight_(weight) {}
  Parcel(const Parcel&) = delete;
  virtual ~Parcel();

  /** Weighs it. */
  [[nodiscard]] virtual const T& weigh() const noexcept = 0;
  bool operator==(const Parcel& other) const;
  explicit operator bool() const { return true; }
  template <class U> static auto make(U&& value) -> Parcel<U>;

  struct Label { std::string text; };

 private:
  T weight_;
  void (*callback_)(int);
};

template <typename T, int N>
const T& Parcel<T, N>::weigh() const noexcept { return weight_; }

template <>
class Parcel<void> { void nothing(); };

Office::Office(std::string name) : name_(std::move(name)) {
  std::lock_guard<std::mutex> guard(mutex_);
  Parcel<int> parcel(name);
}

Office::~Office() = default;

std::ostream& operator<<(std::ostream& out, const Office& office) { return out; }

enum class Size : char { Small, Large };
using Shared = std::shared_ptr<Parcel<int>>;

namespace {
int hidden(int x) { return x; }
int hidden(double x) { return 1; }
}

}  // namespace post::office

auto square = [](int x) { return x * x; };
