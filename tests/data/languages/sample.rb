# frozen_string_literal: true

# Parcels and how to send them.

require 'json'

module Post
  # A thing to send.
  class Parcel < Base
    include Comparable
    attr_accessor :weight

    # Weighs it.
    def initialize(weight, unit: :kg)
      @weight = weight
    end

    def <=>(other) = weight <=> other.weight

    def heavy?
      weight > 10
    end

    def weight=(value)
      @weight = value
    end

    def [](index); end

    def self.load(path)
      new(JSON.parse(path))
    end

    class << self
      # Makes many.
      def many(*args, &block)
        args.map { |a| new(a, &block) }
      end
    end

    private def secret
      1
    end
  end

  class Error < StandardError; end
end

class Post::Office
  def open() end
end

Point = Struct.new(:x, :y) do
  def norm
    Math.sqrt(x * x + y * y)
  end
end

def helper
  def nested; end
end
