// Where else an address can be looked at. Plain links, which nothing loads before they are clicked.

/** A link out of the page. */
export interface Outside {
  name: string
  href: string
  kind: 'explorer' | 'chart'
}

const EXPLORERS: Record<string, [name: string, address: (address: string) => string]> = {
  solana: ['Solscan', (a) => `https://solscan.io/account/${a}`],
  ethereum: ['Etherscan', (a) => `https://etherscan.io/address/${a}`],
  bsc: ['BscScan', (a) => `https://bscscan.com/address/${a}`],
  base: ['BaseScan', (a) => `https://basescan.org/address/${a}`],
  arbitrum: ['Arbiscan', (a) => `https://arbiscan.io/address/${a}`],
  polygon: ['PolygonScan', (a) => `https://polygonscan.com/address/${a}`],
  optimism: ['Optimism Explorer', (a) => `https://optimistic.etherscan.io/address/${a}`],
  avalanche: ['Snowtrace', (a) => `https://snowtrace.io/address/${a}`],
  tron: ['Tronscan', (a) => `https://tronscan.org/#/address/${a}`],
  ton: ['Tonviewer', (a) => `https://tonviewer.com/${a}`],
  sui: ['Suiscan', (a) => `https://suiscan.xyz/mainnet/object/${a}`],
  aptos: ['Aptos Explorer', (a) => `https://explorer.aptoslabs.com/account/${a}?network=mainnet`],
}
// As dexscreener.com names the chains that it has.
const CHARTED = new Set(['solana', 'ethereum', 'bsc', 'base', 'arbitrum', 'polygon', 'optimism', 'avalanche', 'tron', 'ton', 'sui', 'aptos'])

/** Explorer and chart of an address; none for what does not look like one. */
export function outside(family: string, chain: string | undefined | null, address: string): Outside[] {
  if (!/^[\w-]{20,80}$/.test(address)) return []
  const place = chain ?? (family === 'evm' ? undefined : family)
  if (place === undefined || !Object.hasOwn(EXPLORERS, place)) {
    // Which chain it is on is not known: both look it up on all of them.
    return family === 'evm'
      ? [
          { name: 'Blockscan', href: `https://blockscan.com/address/${address}`, kind: 'explorer' },
          { name: 'DEX Screener', href: `https://dexscreener.com/search?q=${address}`, kind: 'chart' },
        ]
      : []
  }
  const links: Outside[] = []
  const explorer = EXPLORERS[place]
  if (explorer) links.push({ name: explorer[0], href: explorer[1](address), kind: 'explorer' })
  if (CHARTED.has(place)) links.push({ name: 'DEX Screener', href: `https://dexscreener.com/${place}/${address}`, kind: 'chart' })
  return links
}
