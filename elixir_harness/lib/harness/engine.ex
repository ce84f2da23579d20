defmodule Harness.Engine do
  @moduledoc "A container engine's API, asked directly: what the agent claims is checked with the engine itself."

  alias Harness.{Http, Json}

  defstruct [:module, :socket]

  def docker do
    %__MODULE__{
      module: Otturnaut.Runtime.Docker,
      socket: env("HARNESS_DOCKER_SOCKET", "/var/run/docker.sock")
    }
  end

  def podman do
    %__MODULE__{
      module: Otturnaut.Runtime.Podman,
      socket: env("HARNESS_PODMAN_SOCKET", "/run/podman/podman.sock")
    }
  end

  defp env(name, default), do: System.get_env(name) || default

  @doc "Containers of the applications in `app_ids`, running or not, by their labels."
  def containers(engine, app_id) do
    filters = Json.encode(%{label: ["otturnaut.app_id=#{app_id}"]})
    list(engine, filters)
  end

  @doc "Containers whose name begins so."
  def named(engine, name), do: list(engine, Json.encode(%{name: ["^/?#{name}"]}))

  defp list(engine, filters) do
    {:ok, 200, body} =
      Http.get(where(engine), "/containers/json?all=true&filters=#{URI.encode_www_form(filters)}")

    Json.decode(body)
  end

  def inspect!(engine, name) do
    {:ok, 200, body} = Http.get(where(engine), "/containers/#{name}/json")
    Json.decode(body)
  end

  def exists?(engine, name), do: match?({:ok, 200, _}, Http.get(where(engine), "/containers/#{name}/json"))
  def image?(engine, name), do: match?({:ok, 200, _}, Http.get(where(engine), "/images/#{name}/json"))

  @doc "All names of images of a repository."
  def image_names(engine, repository) do
    filters = Json.encode(%{reference: [repository]})
    {:ok, 200, body} = Http.get(where(engine), "/images/json?filters=#{URI.encode_www_form(filters)}")
    for %{"RepoTags" => names} when is_list(names) <- Json.decode(body), name <- names, do: name
  end

  @doc "What happened to an application's containers since a time (seconds): `{action, deployment id, nanoseconds}`."
  def events(engine, app_id, since) do
    filters = Json.encode(%{type: ["container"], label: ["otturnaut.app_id=#{app_id}"]})
    until = System.os_time(:second) + 1
    path = "/events?since=#{since}&until=#{until}&filters=#{URI.encode_www_form(filters)}"
    {:ok, 200, body} = Http.get(where(engine), path)

    for %{"Action" => action, "Actor" => actor, "timeNano" => at} <- Json.decode_lines(body),
        do: {action, actor["Attributes"]["otturnaut.deployment_id"], at}
  end

  def volume?(engine, name), do: match?({:ok, 200, _}, Http.get(where(engine), "/volumes/#{name}"))
  def remove_volume(engine, name), do: Http.request("DELETE", where(engine), "/volumes/#{name}?force=true")

  @doc "Creates and starts a container beside the agent; answers its id."
  def run!(engine, name, config) do
    {:ok, 201, body} =
      Http.request("POST", where(engine), "/containers/create?name=#{name}", body: Json.encode(config))

    id = Json.decode(body)["Id"]
    {:ok, 204, _} = Http.request("POST", where(engine), "/containers/#{id}/start")
    id
  end

  def kill(engine, name), do: Http.request("POST", where(engine), "/containers/#{name}/kill")
  def start(engine, name), do: Http.request("POST", where(engine), "/containers/#{name}/start")
  def remove(engine, name), do: Http.request("DELETE", where(engine), "/containers/#{name}?force=true")
  def remove_image(engine, name), do: Http.request("DELETE", where(engine), "/images/#{name}?force=true")

  @doc "Builds an image from a directory."
  def build!(engine, dir, tag) do
    tar = dir <> ".tar"
    files = for file <- File.ls!(dir), do: {to_charlist(file), to_charlist(Path.join(dir, file))}
    :ok = :erl_tar.create(to_charlist(tar), files, [:dereference])
    body = File.read!(tar)
    File.rm!(tar)
    path = "/build?t=#{URI.encode_www_form(tag)}&forcerm=1"
    {:ok, 200, output} = Http.request("POST", where(engine), path, body: body, type: "application/x-tar")
    if output =~ "\"error\"", do: raise("no image #{tag}: #{output}")
    tag
  end

  @doc "Saves an image as an archive."
  def save!(engine, image, path) do
    {:ok, 200, archive} = Http.get(where(engine), "/images/#{image}/get")
    File.write!(path, archive)
    path
  end

  def load!(engine, path) do
    {:ok, 200, _} =
      Http.request("POST", where(engine), "/images/load", body: File.read!(path), type: "application/x-tar")

    :ok
  end

  def tag!(engine, image, repository) do
    {:ok, 201, _} = Http.request("POST", where(engine), "/images/#{image}/tag?repo=#{repository}&tag=latest")
    :ok
  end

  def answers?(engine), do: match?({:ok, 200, _}, Http.get(where(engine), "/_ping", timeout: 20_000))

  defp where(engine), do: {:unix, engine.socket}
end
