defmodule Harness.Certificates do
  @moduledoc "A certificate authority for a test, and certificates of it for 127.0.0.1, made by `openssl`."

  defstruct [:dir, :authority]

  @doc "A new authority, in a directory that goes with the harness."
  def authority! do
    dir = Path.join(System.tmp_dir!(), "harness-tls-#{Harness.Agent.unique()}")
    File.mkdir_p!(dir)
    Harness.Leftovers.add_dir(dir)

    openssl!(
      dir,
      ~w(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority
                     -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem)
    )

    %__MODULE__{dir: dir, authority: Path.join(dir, "ca.pem")}
  end

  @doc """
  A certificate of the authority and its key: their paths. An address is named as a host too: BEAM nodes look for the host
  of a node's name there, whatever it is.
  """
  def issue!(%__MODULE__{dir: dir}, name, host \\ "127.0.0.1") do
    openssl!(dir, ~w(req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=#{name}
                     -keyout #{name}.key -out #{name}.csr))

    File.write!(
      Path.join(dir, "#{name}.ext"),
      "subjectAltName=IP:#{host},DNS:#{host}\nextendedKeyUsage=serverAuth,clientAuth\n"
    )

    openssl!(dir, ~w(x509 -req -in #{name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2
                     -extfile #{name}.ext -out #{name}.pem))

    %{certificate: Path.join(dir, "#{name}.pem"), key: Path.join(dir, "#{name}.key")}
  end

  @doc "The variables that make an agent use the certificate."
  def env(%__MODULE__{authority: authority}, %{certificate: certificate, key: key}) do
    %{
      "OTTURNAUT_DIST_TLS_CERT" => certificate,
      "OTTURNAUT_DIST_TLS_KEY" => key,
      "OTTURNAUT_DIST_TLS_CA" => authority
    }
  end

  @doc "The arguments that make a BEAM node use the certificate, on both sides of its connections."
  def args(%__MODULE__{dir: dir, authority: authority}, %{certificate: certificate, key: key}) do
    common = [
      certfile: to_charlist(certificate),
      keyfile: to_charlist(key),
      cacertfile: to_charlist(authority),
      verify: :verify_peer
    ]

    options = [server: common ++ [fail_if_no_peer_cert: true], client: common]
    file = Path.join(dir, "#{Harness.Agent.unique()}.config")
    File.write!(file, :io_lib.format(~c"~p.~n", [options]))
    [~c"-proto_dist", ~c"inet_tls", ~c"-ssl_dist_optfile", to_charlist(file)]
  end

  defp openssl!(dir, args) do
    {output, status} = System.cmd("openssl", args, cd: dir, stderr_to_stdout: true)
    if status != 0, do: raise("openssl #{hd(args)} failed:\n#{output}")
  end
end
