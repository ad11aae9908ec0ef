/*!
 * parcels
 * Copyright(c) 2024 Somebody
 * MIT Licensed
 */

'use strict';

/**
 * Routes for parcels.
 */

const http = require('http'), { parse } = require('url');

/**
 * Send a parcel.
 *
 * @param {Parcel} parcel
 */
exports.send = async function (parcel) {
  return http.request(parcel);
};

module.exports = function createServer(options) {};

Parcel.prototype.weigh = function weighIt() { return this.weight; };

app.use = (...layers) => layers.map((layer) => layer.handle);

const add = (a, b) => a + b;
export const curry = f => a => b => f(a, b);
let first = function () {}, second = () => {};

// Walks.
export function* walk(tree) {
  const inner = () => tree;
  yield inner();
}

export default class extends Base {
  #count = 0;
  static of() { return new this(); }
  // Arrow in a field.
  handle = (event) => { this.#count++; };
  constructor(name) { super(name); }
  get size() { return this.#count; }
  async *[Symbol.asyncIterator]() {}
  #secret() {}
}

const api = {
  list(query) { return query; },
  'get-one': function (id) { return id; },
  remove: async (id) => id,
  nested: { deep() {} },
};

export const Button = memo(forwardRef, 1);
export const Panel = React.memo((props) => { return props.children; });

array.map(function () { return 1; });
