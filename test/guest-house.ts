/** A scripted owner and scripted guests for the bridge's tests: each guest's `LanPort` is one that records what it was told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { LanError } from '../sdk/base/errors.ts';
import type { GuestOptions } from '../sdk/node/guests.ts';
import type { Bridge, Guests } from '../sdk/node/index.ts';
import type { RoomPort } from '../sdk/port/port.ts';
import { Bench, GAME, OTHER, ScriptedLan } from './bridge-fake.ts';

export const pageId = (digit: string): string => digit.repeat(32);

export class GuestScript extends ScriptedLan {
  override readonly self = OTHER as never;
  closed = false;
  override async close(): Promise<void> {
    this.closed = true;
  }
}

export class House extends Bench {
  readonly root = mkdtempSync(join(tmpdir(), 'lanista-guests-'));
  readonly lans: GuestScript[] = [];

  constructor() {
    super();
    writeFileSync(join(this.root, 'index.html'), '<!doctype html>');
  }

  async open(guests: Partial<GuestOptions> = {}, keepMs?: number): Promise<Bridge & { readonly guests: Guests }> {
    const lan = (): GuestScript => {
      this.lans.push(new GuestScript());
      return this.lans.at(-1)!;
    };
    const bridge = await this.start({
      root: this.root,
      game: GAME,
      guests: { interface: '127.0.0.1', lan, ...guests },
      ...(keepMs !== undefined && { keepMs }),
    });
    return bridge as Bridge & { readonly guests: Guests };
  }

  /** The player whose game it is, in a room. */
  async owner(bridge: Bridge, code?: string): Promise<RoomPort> {
    const page = await this.page(bridge);
    return page.open({ type: 'create', name: 'Friday', max: 8, code, spectate: false });
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true });
  }
}

/** The status of an answer; 0 when the connection was ended instead. */
export function status(port: number, headers: Record<string, string>, method = 'GET', path = '/', localAddress = '127.0.0.1'): Promise<number> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers, localAddress }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.on('upgrade', (_answer, socket) => {
      socket.destroy();
      resolve(101);
    });
    asked.on('error', () => resolve(0));
    asked.end();
  });
}

export const failure = (asked: Promise<unknown>): Promise<LanError> =>
  asked.then(
    () => expect.unreachable(),
    (error: LanError) => error,
  );
