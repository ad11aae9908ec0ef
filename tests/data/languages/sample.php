<?php

declare(strict_types=1);

/*
 * This file is part of the parcels package; see LICENSE.
 */

namespace Acme\Parcels;

use Acme\Base;
use function Acme\helper;

/**
 * Sends.
 *
 * @template T of object
 */
#[Attribute(Attribute::TARGET_CLASS)]
final class Sender extends Base implements \Countable
{
    use Loggable;

    private const LIMIT = 20;

    public function __construct(private readonly int $limit = self::LIMIT) {}

    /** Sends one. */
    #[Pure]
    public static function &send(?Parcel $parcel, int ...$rest): static|null
    {
        $log = fn (string $line) => helper($line);
        return null;
    }

    abstract protected function count(): int;
}

interface Closeable { public function close(): void; }

trait Loggable { protected function log(string $line): void { echo $line; } }

enum Size: string
{
    case Small = 's';

    public function label(): string { return ucfirst($this->value); }
}

# Old-fashioned.
function parcel_weight($parcel) { return $parcel['weight']; }

if (!function_exists('polyfill')) {
    function polyfill() {}
}

$handler = function ($request) use ($log) { return $log; };
$anonymous = new class { public function run() {} };
?>
<h1><?= $title ?></h1>
<?php function after_markup() { return 1; } ?>
