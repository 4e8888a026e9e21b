/** What passes one port of a lab's switch, by tcpdump, read back as UDP packets. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lab } from '../netns.ts';
import { until } from '../process.ts';

export interface CapturedPacket {
  /** Wall clock, ms. */
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly payload: Buffer;
}

const fileHeaderBytes = 24;
const recordHeaderBytes = 16;
const ethernetBytes = 14;

export class Capture implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'lanista-capture-'));
  readonly #path = join(this.#folder, 'packets.pcap');
  readonly #child: ChildProcess;
  #words = '';

  constructor(lab: Lab, switchPort: string) {
    const [file = '', ...args] = lab.switchCommand([
      'tcpdump',
      '-i',
      switchPort,
      '-s',
      '0',
      '-U',
      '--immediate-mode',
      '-Z',
      'root',
      '-w',
      this.#path,
    ]);
    this.#child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#words += text));
  }

  async ready(): Promise<void> {
    await until('tcpdump to listen', 10_000, () => (this.#words.includes('listening on') ? true : undefined));
  }

  /** Ends the capture and gives all of it, as it was on the wire. */
  async bytes(): Promise<Buffer> {
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill('SIGINT');
      await ended;
    }
    return readFileSync(this.#path);
  }

  async read(): Promise<readonly CapturedPacket[]> {
    const file = await this.bytes();
    const packets: CapturedPacket[] = [];
    for (let at = fileHeaderBytes; at + recordHeaderBytes <= file.length;) {
      const size = file.readUInt32LE(at + 8);
      const when = file.readUInt32LE(at) * 1_000 + file.readUInt32LE(at + 4) / 1_000;
      const frame = file.subarray(at + recordHeaderBytes, at + recordHeaderBytes + size);
      at += recordHeaderBytes + size;
      const ip = frame.subarray(ethernetBytes);
      // IPv4, UDP, first fragment.
      if (frame.length < 42 || frame.readUInt16BE(12) !== 0x0800 || ip[9] !== 17 || (ip.readUInt16BE(6) & 0x1fff) !== 0) continue;
      const udp = ip.subarray((ip[0]! & 15) * 4, ip.readUInt16BE(2));
      packets.push({
        at: when,
        from: [...ip.subarray(12, 16)].join('.'),
        to: [...ip.subarray(16, 20)].join('.'),
        fromPort: udp.readUInt16BE(0),
        toPort: udp.readUInt16BE(2),
        payload: udp.subarray(8),
      });
    }
    return packets;
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
