import { Injectable } from '@angular/core';

/** A route. */
export interface Route<T> {
  path: string;
  match(url: string): T | undefined;
  readonly handler: (request: Request) => void;
}

export type Handler<T = unknown> =
  | ((value: T) => void)
  | { handle(value: T): void };

export const enum Method { Get = 'GET', Post = 'POST' }

// Overloaded.
function parse(value: string): number;
function parse(value: number): number;
function parse(value: string | number): number {
  return Number(value);
}

/** Serves. */
@Injectable({ scope: 'root' })
export class Server<T extends Route<unknown>> extends Base implements Closeable {
  @Input() name = 'server';

  constructor(private readonly routes: T[]) {
    super();
  }

  /** Adds a route. */
  @Log()
  public async add(route: T): Promise<void> {}

  onError = (error: Error): void => { console.error(error); };

  private static create<U>(this: void, value?: U): U | undefined { return value; }
}

export abstract class Base {
  protected abstract close(): void;
}

namespace Util.Text {
  export function trim(value: string): string { return value.trim(); }
}

declare module 'express' {
  export function static(root: string): Handler;
}

declare function external(value: string): void;

export const identity = <T,>(value: T): T => value;
export const isRoute = (value: unknown): value is Route<string> => typeof value === 'object';
