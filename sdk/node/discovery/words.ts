/**
 * What trouble with a network is called in plain words, and what to do about it. Used by the discovery
 * state, by errors, and by the doctor.
 */

/** One sentence for a failed send or multicast join on an interface. */
export function describeSendError(code: string, nic: string, platform: NodeJS.Platform = process.platform): string {
  switch (code) {
    case 'EPERM':
    case 'EACCES':
      return `Sending on ${nic} is refused: a local firewall or a VPN kill switch blocks it.`;
    case 'EHOSTUNREACH':
    case 'EHOSTDOWN':
      return platform === 'darwin'
        ? `macOS refuses local network access on ${nic}: System Settings > Privacy & Security > Local Network, allow your terminal.`
        : `${nic} cannot reach the local network.`;
    case 'ENETUNREACH':
      return `${nic} has no route to the local network.`;
    case 'EADDRNOTAVAIL':
    case 'ENODEV':
    case 'EINVAL':
      return `${nic} went away or changed its address.`;
    case 'ENETDOWN':
      return `${nic} is down.`;
    default:
      return `Sending on ${nic} fails (${code}).`;
  }
}

interface Versioned {
  readonly id: string;
  readonly version: number;
  readonly schemaHash: number;
}

/** Why a room cannot be joined, or undefined when it can. */
export function whyIncompatible(
  ours: Versioned,
  theirs: { readonly gameId: string; readonly version: number; readonly schemaHash: number },
): string | undefined {
  if (theirs.gameId !== ours.id) return `plays ${theirs.gameId}, you play ${ours.id}`;
  if (theirs.version !== ours.version) return `runs version ${theirs.version}, you run version ${ours.version}`;
  if (theirs.schemaHash !== ours.schemaHash) return `runs another build of version ${ours.version}`;
  return undefined;
}
