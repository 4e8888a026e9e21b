/** The command line of the game. */
import { parseArgs } from 'node:util';
import { mostBrought } from '../rules/map-file.ts';

export interface Flags {
  readonly name: string | undefined;
  /** Undefined: the usual port, or the next free one. */
  readonly port: number | undefined;
  readonly interfaces: readonly string[];
  /** Phones of the network may play along. */
  readonly phones: boolean;
  /** Files of maps that this player brings along. */
  readonly maps: readonly string[];
  readonly open: boolean;
  readonly dev: boolean;
  readonly buildOnly: boolean;
  readonly help: boolean;
}

export const usage = `Chroma Rush: paint the floor with everybody on this network.

  npm start -- [flags]

  --name <name>       how the others see you
  --port <port>       port of the page on this machine; 0 picks any free one (default 5297, or the next free one)
  --interface <ip>    use only the network with this address; may be given several times
  --phones            phones on this Wi-Fi can play along: prints the address, and a code to scan
  --map <file>        bring a map of your own; may be given several times (demo-game/maps has one to begin with)
  --no-open           do not open the browser
  --help              this text

Every player starts their own. Ctrl-C leaves the room and ends the game.`;

/** Reads the flags. Throws `Error` with one plain sentence. */
export function readFlags(args: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: false,
    allowNegative: true,
    options: {
      name: { type: 'string' },
      port: { type: 'string' },
      interface: { type: 'string', multiple: true },
      phones: { type: 'boolean', default: false },
      map: { type: 'string', multiple: true },
      open: { type: 'boolean', default: true },
      dev: { type: 'boolean', default: false },
      'build-only': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && (!/^\d+$/u.test(values.port ?? '') || port > 65_535))
    throw new Error(`--port wants a number from 0 to 65535, and got "${values.port}".`);
  if (values.phones && values.dev) throw new Error('--phones goes with npm start, and not with --dev: Vite serves this machine only.');
  if (values.phones && (values.interface ?? []).length > 1) throw new Error('--phones wants one network: give --interface once.');
  const maps = values.map ?? [];
  if (maps.length > mostBrought) throw new Error(`--map may be given ${mostBrought} times, and was ${maps.length} times.`);
  return {
    name: values.name,
    port,
    interfaces: values.interface ?? [],
    phones: values.phones,
    maps,
    open: values.open,
    dev: values.dev,
    buildOnly: values['build-only'],
    help: values.help,
  };
}
