export default function Page() {
  return <p>An application that hands out uploads</p>;
}
