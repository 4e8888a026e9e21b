/**
 * The local process of one player, `npm start`: builds the page when needed, opens the network, serves
 * the page on loopback, opens the browser, says who is there, and leaves politely.
 */
import { LanError, closeOnSignal, openNodeLanPort, startBridge } from 'lanista/node';
import type { LanPort } from 'lanista/node';
import type { ArenaMap } from '../rules/arena.ts';
import { game } from '../rules/game.ts';
import { readFlags, usage } from './flags.ts';
import type { Flags } from './flags.ts';
import { folderWith, pageWith, readMapFiles } from './map-files.ts';
import { watchNetwork } from './network-lines.ts';
import { guestOptions, phoneLines, severalNetworks } from './phones.ts';
import { buildPage, pageIsStale, pageRoot, viteConfig } from './page-files.ts';

/** Easy to remember, and nobody's: where the page is unless `--port` says otherwise. */
const usualPort = 5297;
/** Players on one machine who never have to think about ports. */
const portsTried = 20;

interface Running {
  readonly url: string;
  /** Where phones play along. */
  readonly guests?: { readonly url: string } | undefined;
  close(): Promise<void>;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let flags: Flags;
  let maps: readonly ArenaMap[];
  try {
    flags = readFlags(args);
    maps = flags.help ? [] : readMapFiles(flags.maps);
  } catch (error) {
    console.error(`${words(error)}\nTry --help.`);
    return 1;
  }
  if (flags.help) {
    console.log(usage);
    return 0;
  }
  try {
    if (!flags.dev && (flags.buildOnly || pageIsStale())) {
      console.log('Building the page…');
      await buildPage();
    }
    if (flags.buildOnly) return 0;
    const running = flags.dev ? await startDev(flags, maps) : await startBuilt(flags, maps);
    // Before the address is printed: whoever reads it may already press Ctrl-C.
    closeOnSignal(() => {
      console.log('Leaving…');
      return running.close();
    });
    const url = forPage(running.url, flags);
    console.log(`\n  Chroma Rush is at ${url}\n`);
    if (running.guests !== undefined) for (const line of await phoneLines(running.guests.url, process.stdout.isTTY)) console.log(line);
    console.log('Ctrl-C leaves.\n');
    if (flags.open) await openBrowser(url);
    // Ends with the process.
    return await new Promise<number>(() => undefined);
  } catch (error) {
    console.error(words(error));
    return 1;
  }
}

async function startBuilt(flags: Flags, maps: readonly ArenaMap[]): Promise<Running> {
  const root = maps.length === 0 ? pageRoot : pageWith(pageRoot, maps);
  const ports = flags.port === undefined ? [...Array.from({ length: portsTried }, (_, i) => usualPort + i), 0] : [flags.port];
  let refusal: unknown;
  for (const port of ports) {
    try {
      return await startBridge({ lan: () => openNetwork(flags), root, port, game, ...guestOptions(flags, port) });
    } catch (error) {
      if (error instanceof LanError && error.code === 'bad-argument' && flags.phones) throw severalNetworks(error);
      if (!(error instanceof LanError) || error.code !== 'bind-failed') throw error;
      // Windows answers EACCES for ports that Hyper-V has reserved, a hundred in a row.
      if (!/EADDRINUSE|EACCES/u.test(causes(error))) throw error;
      refusal = error;
    }
  }
  if (flags.port === undefined || !/EADDRINUSE/u.test(causes(refusal))) throw refusal;
  throw new Error(`Port ${flags.port} is taken: start with another one (--port ${flags.port + 1}), or with --port 0 for any free one.`, {
    cause: refusal,
  });
}

/** Vite serves the page with hot reload, and carries the bridge. */
async function startDev(flags: Flags, maps: readonly ArenaMap[]): Promise<Running> {
  const { createServer } = await import('vite');
  const { lanista } = await import('lanista/vite');
  let tell: (url: string) => void = () => undefined;
  const ready = new Promise<string>((resolve) => (tell = resolve));
  const server = await createServer({
    configFile: viteConfig,
    ...(maps.length > 0 && { publicDir: folderWith(maps) }),
    server: { port: flags.port ?? usualPort, strictPort: flags.port !== undefined && flags.port !== 0 },
    plugins: [lanista({ start: () => openNetwork(flags), game, onUrl: (url) => tell(url) })],
  });
  try {
    await server.listen();
  } catch (error) {
    await server.close();
    throw error;
  }
  return { url: await ready, close: () => server.close() };
}

async function openNetwork(flags: Flags): Promise<LanPort> {
  const lan = await openNodeLanPort(game, { interfaces: flags.interfaces });
  const { level, reasons } = lan.discovery();
  if (level !== 'ok') for (const reason of reasons) console.log(reason);
  const addresses = lan.addresses().map(({ host, port }) => `${host}:${port}`);
  // Where there is no network, the only one is loopback's.
  if (lan.joinCode() !== undefined) console.log(`Friends who cannot see you can type ${addresses.join(' or ')}.`);
  return watchNetwork(lan, game.id, (line) => console.log(line));
}

/** The address with what the page must know from the start. */
function forPage(url: string, { name, maps }: Flags): string {
  const parsed = new URL(url);
  if (name !== undefined) parsed.searchParams.set('name', name);
  if (maps.length > 0) parsed.searchParams.set('maps', '1');
  return parsed.href;
}

async function openBrowser(url: string): Promise<void> {
  try {
    const { default: open } = await import('open');
    // A machine without a browser ends the child with an error; the printed address is enough then.
    (await open(url)).on('error', () => undefined);
  } catch {
    console.log('No browser could be opened: open the address yourself.');
  }
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The words of an error and of everything that caused it. */
function causes(error: unknown): string {
  if (!(error instanceof Error)) return '';
  return `${error.message} ${(error as { code?: string }).code ?? ''} ${causes(error.cause)}`;
}
