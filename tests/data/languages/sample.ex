# Copyright 2024 Somebody

defmodule Post.Parcel do
  @moduledoc """
  A thing to send.

  More.
  """

  use GenServer
  import Bitwise
  alias Post.{Label, Size}
  require Logger

  @behaviour Sender
  @limit 3

  @type t :: %__MODULE__{weight: float, to: String.t()}
  @typep size :: :small | :large
  @callback deliver(t) :: :ok

  @derive {Inspect, only: [:to]}
  defstruct [:weight, to: "nobody"]

  defmodule Error do
    @moduledoc false
    defexception [:message]
  end

  @doc """
  Sends one.

  ## Examples

      iex> send_parcel(:a)
  """
  @doc since: "1.0"
  @spec send_parcel(t, keyword) :: :ok | {:error, term}
  def send_parcel(parcel, options \\ [])

  def send_parcel(%{weight: weight}, _) when weight > @limit do
    {:error, :heavy}
  end

  # In between.
  def send_parcel(parcel, _options) do
    fun = fn x -> x + 1 end
    Enum.map([1], &(&1 + 1))
    fun.(parcel)
  end

  @doc "Weighs it."
  @impl true
  def weigh(parcel), do: parcel.weight

  @doc false
  def hidden?, do: true

  # Not documented for users.
  defp round_up(x) when is_float(x), do: ceil(x)

  @doc ~S'''
  Unless, again.
  '''
  defmacro unless_again(condition, do: block) do
    quote do
      if !unquote(condition), do: unquote(block)
    end
  end

  defguard is_heavy(x) when x > 3
  defdelegate size(parcel), to: Post.Size
  def left <~> right, do: {left, right}
  def unquote(:dynamic)(), do: 1

  for name <- [:a, :b] do
    def unquote(name)(), do: unquote(name)
  end

  describe "sending" do
    test "sends one", %{conn: conn} do
      assert send_parcel(conn)
    end
  end
end

defprotocol Post.Sized do
  @doc "How large."
  def size(data)
end

defimpl Post.Sized, for: Post.Parcel do
  def size(parcel), do: parcel.weight
end
